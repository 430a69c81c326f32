/** Tests of the files that its arguments name, in one isolate: `deno test` would load the library anew for each. */
for (const path of Deno.args) await import(new URL(`../${path}`, import.meta.url).href);
