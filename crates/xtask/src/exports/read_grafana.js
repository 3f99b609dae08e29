// Parses the queries of exported Loki rules and of Grafana dashboards with public grammars: those of
// Grafana's and Prometheus' own editors, and one of Lucene's query language. Argument: the folder of the
// golden files. NODE_PATH: the folder of the packages.

const fs = require("fs");
const path = require("path");
const logql = require("@grafana/lezer-logql");
const promql = require("@prometheus-io/lezer-promql");
const lucene = require("lucene");

// Values that Grafana substitutes for its variables.
const TIMES = { $__range: "1h", $__rate_interval: "5m", $__interval: "5m" };
const CHOSEN = ["x", "(a|b)"];
const CHOSEN_OF_LUCENE = ['"x"', '("x" OR "y")', "* OR *:*"];

function fail(message) {
  console.error(message);
  process.exit(1);
}

// The errors in a tree: the parser continues after an error.
function faults(parser, query) {
  const found = [];
  parser.parse(query).iterate({
    enter(node) {
      if (node.type.isError) found.push(query.slice(node.from, node.from + 60) || "(the end)");
    },
  });
  return found;
}

function readLucene(query) {
  try {
    lucene.parse(query);
    return [];
  } catch (error) {
    return [error.message];
  }
}

const LANGUAGES = {
  loki: (query) => faults(logql.parser, query),
  prometheus: (query) => faults(promql.parser, query),
  elasticsearch: readLucene,
};

function filledIn(language, query) {
  for (const [name, value] of Object.entries(TIMES)) query = query.replaceAll(name, value);
  const chosen = language === "elasticsearch" ? CHOSEN_OF_LUCENE : CHOSEN;
  return chosen.map((value) => query.replace(/\$(\w+|\{[\w:]+\})/g, () => value));
}

// The expressions of a rule file, which are block scalars.
function expressions(text) {
  const blocks = text.matchAll(/^( *)expr: \|-\n((?:\1 +.*\n)+)/gm);
  return Array.from(blocks, ([, , block]) => block);
}

function queries(file, text) {
  if (file.endsWith(".yaml")) return expressions(text).map((query) => ["loki", query]);
  if (!file.endsWith(".json")) return [];
  const found = [];
  for (const panel of JSON.parse(text).panels) {
    for (const target of panel.targets ?? []) {
      found.push([target.datasource.type, target.expr ?? target.query]);
    }
  }
  return found;
}

// Prove that the check can fail.
for (const [language, query] of [
  ["loki", 'sum by (a (count_over_time({a="b"}[5m]))'],
  ["loki", '{a="b"} | json a=="b"'],
  ["prometheus", "sum by (a (rate(b[5m]))"],
  ["elasticsearch", "a:(b OR"],
]) {
  if (LANGUAGES[language](query).length === 0) fail(`${language} takes ${query}`);
}
let count = 0;
const wrong = [];
const folder = process.argv[2];
for (const file of fs.readdirSync(folder, { recursive: true }).sort()) {
  const place = path.join(folder, file);
  if (!fs.statSync(place).isFile()) continue;
  for (const [language, query] of queries(file, fs.readFileSync(place, "utf8"))) {
    const read = LANGUAGES[language] ?? fail(`${place}: nothing reads ${language}`);
    for (const whole of filledIn(language, query)) {
      for (const fault of read(whole)) wrong.push(`${place}: ${fault}`);
    }
    count += 1;
  }
}
if (count === 0) fail("there is nothing to read");
if (wrong.length > 0) fail(wrong.join("\n"));
console.log(`${path.basename(folder)}: ${count} queries read`);
