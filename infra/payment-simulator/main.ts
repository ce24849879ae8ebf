import { startPaymentSimulator } from "./simulator";

const { PORT = "12111", HOST, SIMULATOR_LEDGER, SIMULATOR_SEED } = process.env;

const simulator = await startPaymentSimulator({
  port: Number(PORT),
  hostname: HOST,
  ledger: SIMULATOR_LEDGER || undefined,
  seed: SIMULATOR_SEED,
});
console.log(`payment simulator on ${simulator.url} (SIMULATOR_SEED=${simulator.seed})`);

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void simulator.stop().then(() => process.exit(0)));
