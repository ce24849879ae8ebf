import { serveService } from "@mall/kernel/host/bun";
import { createCartService } from "./service";

await serveService("cart", createCartService);
