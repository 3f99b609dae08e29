// Validates the queries of exported Sentinel rules with Microsoft's own language service, which checks
// functions, operators, types, and the columns of the tables. Argument: the folder of the golden files.
// NODE_PATH: the folder of the packages.

const fs = require("fs");
const path = require("path");

const service = path.join(process.env.NODE_PATH, "@kusto/language-service-next");
require(path.join(service, "bridge.min.js"));
require(path.join(service, "Kusto.Language.Bridge.min.js"));
const language = globalThis.Kusto.Language;
const symbols = language.Symbols;

const AUDIT =
  "TimeGenerated:datetime,Level:string,AuditId:string,Stage:string,RequestUri:string,Verb:string," +
  "User:dynamic,SourceIps:dynamic,UserAgent:string,ObjectRef:dynamic,ResponseStatus:dynamic," +
  "RequestObject:dynamic,ResponseObject:dynamic,RequestReceivedTime:datetime," +
  "StageReceivedTime:datetime,Annotations:dynamic,PodName:string,_ResourceId:string";
const TABLES = {
  ContainerLogV2:
    "TimeGenerated:datetime,Computer:string,ContainerId:string,ContainerName:string,PodName:string," +
    "PodNamespace:string,LogMessage:dynamic,LogSource:string,LogLevel:string," +
    "KubernetesMetadata:dynamic,_ResourceId:string",
  AKSAudit: AUDIT,
  AKSAuditAdmin: AUDIT,
};

function known() {
  const tables = Object.entries(TABLES).map(([name, columns]) =>
    symbols.TableSymbol.From(`(${columns})`).WithName(name),
  );
  const database = new symbols.DatabaseSymbol.ctor("workspace", tables);
  return language.GlobalState.Default.WithDatabase(database);
}

function complaints(query, globals) {
  const found = language.KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics();
  return Array.from({ length: found.Count }, (_, at) => {
    const one = found.getItem(at);
    return `${one.Message} (${query.slice(one.Start, one.Start + 60)})`;
  });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

const globals = known();
// Prove that the check can fail.
if (complaints("AKSAudit | where NoSuchColumn == 1", globals).length === 0) {
  fail("the language service does not know the columns");
}
let count = 0;
const folder = process.argv[2];
for (const file of fs.readdirSync(folder, { recursive: true }).sort()) {
  if (!file.endsWith(".json")) continue;
  const template = JSON.parse(fs.readFileSync(path.join(folder, file), "utf8"));
  for (const resource of template.resources) {
    const found = complaints(resource.properties.query, globals);
    if (found.length > 0) fail(`${file}: ${found.join("; ")}`);
    count += 1;
  }
}
if (count === 0) fail("there is nothing to read");
console.log(`sentinel: ${count} queries read`);
