import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Where `npm run dev` finds the REST API: a running server, or the mock of `npm run mock`.
const api = process.env["LIGHTSHIP_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  plugins: [svelte()],
  server: { proxy: { "/api": api } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    // The Content-Security-Policy forbids data: URLs and inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
  },
  test: { include: ["test/unit/**/*.test.ts"], environment: "node" },
});
