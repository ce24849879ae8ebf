import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { Mall } from "./mall";

/** Imports the demo catalogue into a mall without products. Returns how many it imported. */
export async function seedDemo(mall: Mall): Promise<number> {
  const products = mall.client(ProductService);
  const { products: some } = await products.listProducts({ pageSize: 1 });
  if (some.length > 0) return 0;
  const csv = await Bun.file(new URL("./demo/catalogue.csv", import.meta.url)).text();
  const { created, problems } = await products.importProducts({ csv });
  if (problems.length > 0) throw new Error(`the demo catalogue is broken: ${JSON.stringify(problems[0])}`);
  return created;
}
