import { serveService } from "@mall/kernel/host/bun";
import { createPaymentService } from "./service";

await serveService("payment", createPaymentService);
