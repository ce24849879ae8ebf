import { workerOf } from "@mall/kernel/host/worker";
import { createPaymentService } from "./service";

export default workerOf("payment", createPaymentService);
