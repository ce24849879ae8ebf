import { serveService } from "@mall/kernel/host/bun";
import { createUserService } from "./service";

await serveService("user", createUserService);
