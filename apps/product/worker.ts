import { workerOf } from "@mall/kernel/host/worker";
import { createProductService } from "./service";

export default workerOf("product", createProductService);
