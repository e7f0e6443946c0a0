// The page without a network. `seal` writes FILES (this build's files) and VERSION (the hash of their contents) above this line.
// All of a build's files come from one cache, so that a page and a worker of different builds never meet. The list of models and
// the cards change without a build, so the server is asked first. Weights have a cache of their own, see `worker/weights.rs`.
const CACHE = "atelier-page-" + VERSION;

self.addEventListener("install", (event) => {
  const fresh = FILES.map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith("atelier-page-") && name !== CACHE;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const scope = new URL(self.registration.scope);
  if (event.request.method !== "GET" || url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return;
  if (url.pathname.endsWith(".safetensors")) return;
  const stored = () => caches.open(CACHE).then((cache) => cache.match(event.request, { ignoreSearch: true }));
  if (url.pathname.includes("/models/")) {
    event.respondWith(fetch(event.request).catch(async (error) => (await stored()) ?? Promise.reject(error)));
  } else {
    event.respondWith(stored().then((response) => response ?? fetch(event.request)));
  }
});
