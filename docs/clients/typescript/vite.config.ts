import { defineConfig } from "vite";

// The server's ALLOW_ORIGINS names this port by default: take it or fail, never drift to another.
export default defineConfig({
  server: { port: 5173, strictPort: true },
  preview: { port: 5173, strictPort: true },
  build: { target: "es2022" },
});
