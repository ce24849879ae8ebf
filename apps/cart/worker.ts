import { workerOf } from "@mall/kernel/host/worker";
import { createCartService } from "./service";

export default workerOf("cart", createCartService);
