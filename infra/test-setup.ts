import { afterAll } from "bun:test";
import { runCleanup } from "@mall/kernel/testing/cleanup";

afterAll(runCleanup, 60_000);
