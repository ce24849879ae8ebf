import { workerOf } from "@mall/kernel/host/worker";
import { createCheckoutService } from "./service";

export default workerOf("checkout", createCheckoutService);
