// Checks descriptions, and makes a module of types from each: for file.json, file.mts.
import { readFile, writeFile } from "node:fs/promises";
import { Validator } from "@seriousme/openapi-schema-validator";
import openapiTS, { astToString } from "openapi-typescript";

for (const file of process.argv.slice(2)) {
  const description = JSON.parse(await readFile(file, "utf8"));
  const validator = new Validator();
  const { valid, errors } = await validator.validate(description);
  if (!valid || validator.version !== "3.1") {
    throw new Error(`${file} is no OpenAPI 3.1: ${validator.version} ${JSON.stringify(errors)}`);
  }
  await writeFile(file.replace(/json$/, "mts"), astToString(await openapiTS(description)));
}
