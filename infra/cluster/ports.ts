import { createServer } from "node:net";

// below the range from which systems take the ports of outgoing connections: a killed process must get its own again
const [lowest, highest] = [12_000, 32_000];

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "0.0.0.0", () => server.close(() => resolve(true)));
  });

let next = lowest + Math.floor(Math.random() * (highest - lowest));

/** Ports that nobody listens on and that no outgoing connection takes while their process is down. */
export async function stablePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > highest - lowest) throw new Error("no free ports");
    next = next >= highest ? lowest : next + 1;
    if (await isFree(next)) ports.push(next);
  }
  return ports;
}
