import { serveService } from "@mall/kernel/host/bun";
import { createProductService } from "./service";

await serveService("product", createProductService);
