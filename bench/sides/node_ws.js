// ws on Node, in one process: parse, process, stringify in its callback; the output is counted.
// Takes a task as JSON in its argument, and answers each line of its input with a line of JSON: where it stands.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const WebSocket = require("ws");

const task = JSON.parse(process.argv[2]);

class Connection {
  constructor() {
    this.messages = 0;
    this.outputBytes = 0;
    this.last = "";
    this.problem = null;
    this.socket = new WebSocket(task.uri, {
      ca: task.ca_file ? fs.readFileSync(task.ca_file) : undefined,
      perMessageDeflate: task.feed.deflate !== "off",
      skipUTF8Validation: true,
    });
    this.socket.on("message", (data) => this.take(data));
    this.socket.on("error", (error) => (this.problem = String(error)));
    this.socket.on("close", (code) => (this.problem ??= `closed with ${code}`));
  }

  take(data) {
    this.last = JSON.stringify(onTrade(JSON.parse(data)));
    this.outputBytes += this.last.length;
    this.messages += 1;
  }
}

function onTrade(trade) {
  return { seq: trade.seq, symbol: trade.symbol, worth: trade.price * trade.size };
}

const connections = Array.from({ length: task.feed.connections }, () => new Connection());

function standing() {
  const { user, system } = process.cpuUsage();
  return {
    wall_s: performance.now() / 1e3,
    cpu_s: (user + system) / 1e6,
    peak_rss_bytes: process.resourceUsage().maxRSS * 1024,
    problems: connections.map((each) => each.problem).filter(Boolean),
    tallies: connections.map((each) => [each.messages, each.outputBytes, each.last]),
  };
}

const input = readline.createInterface({ input: process.stdin });
input.on("line", () => process.stdout.write(JSON.stringify(standing()) + "\n"));
input.on("close", () => process.exit(0));
