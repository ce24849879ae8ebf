import { workerOf } from "@mall/kernel/host/worker";
import { noblePasswords } from "./password/noble";
import { createAuthService } from "./service";

export default workerOf("auth", (resources) => createAuthService(resources, noblePasswords()));
