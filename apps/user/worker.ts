import { workerOf } from "@mall/kernel/host/worker";
import { createUserService } from "./service";

export default workerOf("user", createUserService);
