// What the tests look at: campaigns and Canvases in every state, made over the HTTP API and by the clock.
import { until } from "./rekindle.mjs";

/** Names that must be shown as text, whatever they say. */
export const HOSTILE = [
  "<script>document.title = 'broken'</script>",
  "<img src=x onerror=\"document.title = 'broken'\">",
  "\u202eright to left\u202c & \"quoted\" 'names'",
  "Ünïcode ✨ 🎉👩‍👩‍👧 新春 مرحبا",
  "W".repeat(256),
];

/** A batch of interactions of one source: all users received it, some opened it, and fewer clicked. */
function batch(source, users, more) {
  const [kind, id] = source.split("/");
  const rows = [];
  for (let i = 0; i < users; i++) {
    const row = { user_id: `user-${i}`, [`${kind}_id`]: id, channel: i % 3 ? "email" : "sms", ...more(i) };
    rows.push({ ...row, type: "received" });
    if (i % 2) rows.push({ ...row, type: "opened" });
    if (i % 5 === 0) rows.push({ ...row, type: "clicked", link_alias: "cta" });
  }
  return rows;
}

const variant = (i) => ({ variant_id: i % 4 ? "a" : "b" });
const variation = (i) => ({ variation_id: "v1", step_id: i % 2 ? "hello" : "follow-up" });
const VARIANTS = [
  { id: "a", name: "Short subject" },
  { id: "b", name: "Long subject" },
];

/** Posts interactions of a source. */
export function send(rekindle, source, users) {
  return rekindle.post("/v1/interactions", batch(source, users, source.startsWith("canvas/") ? variation : variant));
}

/** Registers, starts and sends a campaign. */
async function campaign(rekindle, id, name, tags, users, more = {}) {
  await rekindle.put(`/v1/campaigns/${id}`, { name, tags, variants: VARIANTS, ...more });
  await rekindle.post(`/v1/campaigns/${id}/start`);
  if (users) await send(rekindle, `campaign/${id}`, users);
}

/** The campaigns that expire, with their tags: four of them are tagged promo. */
const EXPIRING = [
  ["spring-sale", "Spring sale", ["promo", "spring"]],
  ["summer-clearance", "Summer clearance", ["promo"]],
  ["loyalty-week", "Loyalty week", ["promo", "loyalty"]],
  ["newsletter-march", "Newsletter March", ["newsletter"]],
  ["welcome-back", "Welcome back", ["lifecycle"]],
  ["cart-reminder", "Cart reminder", ["promo"]],
];

/**
 * Fills the system: six campaigns and a Canvas expire, others are active, drafts, due, pinned, held through a segment, or have
 * hostile names.
 */
export async function seed(rekindle, users = 600) {
  for (const [id, name, tags] of EXPIRING) await campaign(rekindle, id, name, tags, users);
  await rekindle.put("/v1/canvases/onboarding", {
    name: "Onboarding",
    tags: ["lifecycle"],
    variations: [{ id: "v1", name: "Control" }],
    steps: [{ id: "hello", name: "Hello" }, { id: "follow-up", name: "Follow-up" }],
  });
  await rekindle.post("/v1/canvases/onboarding/start");
  await send(rekindle, "canvas/onboarding", users);
  await campaign(rekindle, "legal-notice", "Change of terms", [], users);
  await campaign(rekindle, "vip-launch", "VIP launch", ["vip"], users);
  for (const [i, name] of HOSTILE.entries()) await campaign(rekindle, `hostile-${i}`, name, ["<b>bold</b>"], 20);
  await rekindle.put("/v1/segments/vip", { name: "VIP", filter: { clicked: { source: "campaign/vip-launch" } } });
  await campaign(rekindle, "vip-early-access", "VIP early access", ["vip"], users, { audience: { segment: "vip" } });
  await rekindle.post("/v1/campaigns/legal-notice/pin", { reason: "The lawyers need it until the case is closed" });
  for (const id of [...EXPIRING.map(([id]) => id), "legal-notice", "vip-launch"]) {
    await rekindle.post(`/v1/campaigns/${id}/stop`);
  }
  await rekindle.post("/v1/canvases/onboarding/stop");
  await rekindle.pass("P3M", "P7D", "P2D");
  await until("six campaigns and a Canvas have expired", async () => {
    await rekindle.post("/_local/sweep");
    const canvases = await rekindle.get("/v1/canvases?state=expired");
    return canvases.items.length === 1 && (await rekindle.expired()).length === EXPIRING.length;
  });
  await campaign(rekindle, "black-friday", "Black Friday teaser", ["promo", "autumn"], users);
  await campaign(rekindle, "autumn-guide", "Autumn style guide", ["autumn"], users);
  await rekindle.post("/v1/campaigns/autumn-guide/stop");
  await rekindle.put("/v1/campaigns/spring-follow-up", {
    name: "Spring follow-up",
    tags: ["promo"],
    audience: { all: [{ received: { source: "campaign/spring-sale" } }, { not: { clicked: { source: "campaign/spring-sale" } } }] },
  });
}

/** Many small campaigns, all of them expired, with a tag if one is given. */
export async function seedMany(rekindle, number, tag, users = 3) {
  const ids = Array.from({ length: number }, (_, i) => `bulk-${String(i).padStart(3, "0")}`);
  if (tag) await Promise.all(ids.map((id) => rekindle.put(`/v1/campaigns/${id}`, { name: `Campaign ${id}`, tags: [tag] })));
  await rekindle.post("/v1/interactions", ids.flatMap((id) => batch(`campaign/${id}`, users, () => ({}))));
  for (let i = 0; i < ids.length; i += 100) {
    const sources = ids.slice(i, i + 100).map((id) => `campaign/${id}`);
    await rekindle.post("/v1/sources/start", { sources });
    await rekindle.post("/v1/sources/stop", { sources });
  }
  await rekindle.expire(number);
  return ids;
}
