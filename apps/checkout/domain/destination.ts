import { invalid, type Violation } from "@mall/kernel/fault";

/** Where something is shipped, as far as prices depend on it. */
export interface Destination {
  country: string;
  region: string;
}

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Officially assigned codes of ISO 3166-1 alpha-2. */
const countries = words(`
  AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
  CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
  GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
  KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT
  MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
  SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ
  UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW`);

/** States, the district, territories and military addresses of the US, by the codes of its postal service. */
const states = words(`
  AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI
  SC SD TN TX UT VT VA WA WV WI WY DC AS GU MP PR VI UM FM MH PW AA AE AP`);

/** A region as tables of rates have it. */
export const regionCode = (region: string): string => region.trim().toUpperCase();

/** Fault VALIDATION when it is no country, or when what decides the tax there, a state of the US, is none. */
export function checkDestination({ country, region }: Destination): void {
  const at = (field: string, detail: string): Violation => ({
    pointer: `#/shippingAddress/${field}`,
    detail,
  });
  if (!countries.has(country))
    throw invalid([at("country", "must be a country code of ISO 3166-1, such as US")]);
  if (country === "US" && !states.has(regionCode(region)))
    throw invalid([at("region", "must be the two-letter code of a state of the US, such as TX")]);
}
