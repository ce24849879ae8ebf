import { workerOf } from "@mall/kernel/host/worker";
import { createOrderService } from "./service";

export default workerOf("order", createOrderService);
