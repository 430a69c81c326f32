/** Lint rule `pta/layers`: imports follow the arrows of `layers.ts`. */
import { complaint } from "./layers.ts";

const root = new URL("..", import.meta.url).pathname;

type Source = { readonly value?: unknown } | null | undefined;

/** The plugin, as `lint.plugins` of deno.json loads it. */
const plugin: Deno.lint.Plugin = {
  name: "pta",
  rules: {
    layers: {
      create(context) {
        const name = context.filename.replaceAll("\\", "/");
        const from = name.startsWith(root) ? name.slice(root.length) : name;
        const check = (node: Deno.lint.Node, source: Source): void => {
          if (typeof source?.value !== "string") return;
          const message = complaint(source.value, from);
          if (message !== undefined) context.report({ node, message });
        };
        return {
          ImportDeclaration(node): void {
            const isType = node.importKind === "type" ||
              (node.specifiers.length > 0 &&
                node.specifiers.every((s) =>
                  s.type === "ImportSpecifier" && s.importKind === "type"
                ));
            if (!isType) check(node, node.source);
          },
          ExportNamedDeclaration(node): void {
            const isType = node.exportKind === "type" ||
              (node.specifiers.length > 0 && node.specifiers.every((s) => s.exportKind === "type"));
            if (!isType) check(node, node.source);
          },
          ExportAllDeclaration(node): void {
            if (node.exportKind !== "type") check(node, node.source);
          },
          ImportExpression(node): void {
            check(node, node.source as Source);
          },
        };
      },
    },
  },
};
export default plugin;
