import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { migrate } from "@mall/kernel/db/migrate";
import type { EnvSource } from "@mall/kernel/env";
import { onShutdown } from "@mall/kernel/host/bun";
import { serviceNames } from "@mall/kernel/topology";
import { hostDatabase } from "./database";
import { buildMall, type Mall } from "./mall";
import { seedDemo } from "./seed";
import { serveMall } from "./serve";

/** The purchase that a reader can paste, with a variant of the catalogue that has stock. */
async function example(mall: Mall, base: string): Promise<string> {
  const { products } = await mall.client(ProductService).listProducts({ pageSize: 50 });
  const variant = products
    .flatMap((p) => p.variants)
    .find((v) => !v.trackInventory || (v.available ?? 0) > 5);
  return `  CART=$(curl -s -X POST ${base}/v1/carts -H 'content-type: application/json' -d '{}')
  ID=$(echo "$CART" | sed -E 's/.*"id":"(cart_[^"]+)".*/\\1/'); SECRET=$(echo "$CART" | sed -E 's/.*"cartSecret":"([^"]+)".*/\\1/')
  curl -s -X POST ${base}/v1/carts/$ID/items -H "X-Cart-Secret: $SECRET" -H 'content-type: application/json' \\
    -d '{"variantId":"${variant?.id}","quantity":1}'
  curl -s -X POST ${base}/v1/checkouts -H "X-Cart-Secret: $SECRET" -H "Idempotency-Key: $(date +%s%N)" -H 'content-type: application/json' \\
    -d '{"cartId":"'$ID'","email":"ada@example.com","shippingAddress":{"name":"Ada","line1":"1 Way","city":"Austin","region":"TX","postalCode":"78701","country":"US"},"shippingOption":"standard","payment":{"method":"fake","token":"tok_ok"}}'`;
}

const startedMs = performance.now();
const given: EnvSource = { MALL_ENV: "dev", LOG_LEVEL: "warn", DRAIN_SECONDS: "0", ...process.env };
const database = await hostDatabase(given, (line) => console.log(line));
const env = { ...given, DATABASE_URL: database.url };
await migrate(database.url, serviceNames);
const mall = buildMall(env);
const seeded = await seedDemo(mall);
if (seeded > 0) console.log(`Imported the demo catalogue: ${seeded} products.`);
const server = await serveMall(mall, env);
const base = `http://localhost:${server.port}`;
onShutdown(async () => {
  await server.stop();
  await database.stop();
});
console.log(`
EdgeMall is ready after ${Math.round(performance.now() - startedMs)} ms.
  REST, Connect, gRPC-Web  ${base}      gRPC  localhost:${server.grpcPort}
  Documentation            ${base}/docs
Buy something:
${await example(mall, base)}
`);
