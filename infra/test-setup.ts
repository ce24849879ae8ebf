import { afterAll } from "bun:test";
import { stopTestDatabases } from "@mall/kernel/testing/database";

afterAll(stopTestDatabases);
