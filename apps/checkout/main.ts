import { serveService } from "@mall/kernel/host/bun";
import { createCheckoutService } from "./service";

await serveService("checkout", createCheckoutService);
