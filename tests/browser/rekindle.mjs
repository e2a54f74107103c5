// The runner under test: starts it, ends it, and speaks with its HTTP API as a platform does.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const PROGRAM = new URL("../../target/debug/rekindle", import.meta.url).pathname;

/** How long a condition may take to become true. */
export const PATIENCE = 30_000;

/** Asks again and again until the answer is truthy, and returns it. */
export async function until(what, ask) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
  }
}

export class Rekindle {
  /** Starts the runner: with its data in memory, or in a folder. Port 0 is any free one. */
  static async start({ folder, port = 0, options = [] } = {}) {
    const where = folder ? ["--data", folder] : ["--memory"];
    const child = spawn(PROGRAM, ["--port", String(port), ...where, ...options], { stdio: ["ignore", "pipe", "pipe"] });
    const rekindle = new Rekindle();
    rekindle.child = child;
    rekindle.log = "";
    child.stderr.on("data", (text) => (rekindle.log += text));
    let said = "";
    for await (const line of createInterface(child.stdout)) {
      said += `${line}\n`;
      if (line.startsWith("Stop with")) break;
    }
    child.stdout.resume();
    if (!said.includes("Stop with")) throw new Error(`the runner did not start: ${rekindle.log}`);
    rekindle.url = said.match(/^Rekindle runs at (http[^,]*),/m)[1];
    rekindle.link = said.match(/http\S+\/_local\/sign-in\/\S+/)[0];
    rekindle.key = folder ? readFileSync(`${folder}/admin-key`, "utf8").trim() : said.match(/Bearer (rk_[^"]+)"/)[1];
    return rekindle;
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  signal(name) {
    process.kill(this.child.pid, name);
  }

  /** Ends the runner as a crash would, and gives back what it logged. */
  async kill() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGKILL");
      await once(this.child, "exit");
    }
    return this.log;
  }

  /** Sends a request with a key and returns the answer's JSON. An answer that is no success fails. */
  async send(method, path, body, key = this.key) {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  get(path) {
    return this.send("GET", path);
  }

  put(path, body) {
    return this.send("PUT", path, body);
  }

  post(path, body) {
    return this.send("POST", path, body);
  }

  /** Makes a key with some scopes, and returns its id and its secret. */
  newKey(name, scopes) {
    return this.post("/v1/keys", { name, scopes });
  }

  /** Lets time pass, with a sweep after each period. */
  async pass(...periods) {
    for (const advance of periods) {
      await this.post("/_local/clock", { advance });
      await this.post("/_local/sweep");
    }
  }

  /** Lets the retention period pass, and sweeps until as many campaigns have expired. */
  async expire(campaigns) {
    await this.pass("P3M", "P7D", "P2D");
    await until(`${campaigns} campaigns have expired`, async () => {
      await this.post("/_local/sweep");
      return (await this.expired()).length >= campaigns;
    });
  }

  /** The ids of the campaigns whose data has expired. */
  async expired() {
    const ids = [];
    for (let cursor = ""; ; ) {
      const page = await this.get(`/v1/campaigns?state=expired&limit=1000${cursor}`);
      ids.push(...page.items.map((one) => one.source));
      if (!page.next) return ids;
      cursor = `&cursor=${encodeURIComponent(page.next)}`;
    }
  }

  /** The mails that were sent. */
  async outbox() {
    return (await this.get("/_local/outbox")).items;
  }
}
