import { start } from "./app";
import { account } from "./pages/account";
import { cart } from "./pages/cart";
import { catalogue } from "./pages/catalogue";
import { checkout } from "./pages/checkout";
import { order } from "./pages/order";
import { product } from "./pages/product";

start({ "": catalogue, products: product, cart, checkout, orders: order, account });
