import { serveService } from "@mall/kernel/host/bun";
import { bunPasswords } from "./password/bun";
import { createAuthService } from "./service";

await serveService("auth", (resources) => createAuthService(resources, bunPasswords()));
