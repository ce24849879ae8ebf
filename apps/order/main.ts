import { serveService } from "@mall/kernel/host/bun";
import { createOrderService } from "./service";

await serveService("order", createOrderService);
