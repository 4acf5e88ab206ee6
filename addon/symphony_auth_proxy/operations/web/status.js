// Keeps the page current, and gives each text that is to be copied a button.
//
// What is shown comes from the server alone: the same page is fetched again, and what differs
// is put in its place, so that scrolling, focus, selections and opened parts stay. Without this
// file the page is the same, as of when it was loaded.
"use strict";

(() => {
  const EVERY = 5000; // ms
  const LIVE = ["title", "header", "main"];
  const made = new WeakSet(); // nodes that the server does not know of
  const say = (text) => {
    const news = document.getElementById("news");
    if (news.textContent !== text) news.textContent = text;
  };

  function make(name, text, click) {
    const node = document.createElement(name);
    node.type = "button";
    node.textContent = text;
    node.addEventListener("click", click);
    made.add(node);
    return node;
  }

  // --- the page as it is now ---------------------------------------------------------

  // Makes `old` like `fresh`. An element stays itself when there is still one of its name and
  // id, and is not even moved unless the order has changed: who moves it, takes its focus.
  function follow(old, fresh) {
    followAttributes(old, fresh);
    const left = new Set([...old.children].filter((node) => !made.has(node)));
    const known = new Map();
    for (const node of fresh.children) {
      const same = [...left].find((one) => one.nodeName === node.nodeName && one.id === node.id);
      if (left.delete(same)) known.set(node, same);
    }
    left.forEach((node) => node.remove());

    let place = old.firstChild;
    const isText = () => place?.nodeType === Node.TEXT_NODE;
    for (const node of [...fresh.childNodes]) {
      while (made.has(place)) place = place.nextSibling;
      if (node.nodeType === Node.TEXT_NODE && isText()) {
        if (place.data !== node.data) place.data = node.data;
        place = place.nextSibling;
        continue;
      }
      while (node.nodeType !== Node.TEXT_NODE && isText()) place = drop(place);
      const same = known.get(node);
      if (same && same === place) place = place.nextSibling;
      else old.insertBefore(same ?? node, place);
      if (same) follow(same, node);
    }
    while (isText()) place = drop(place);
  }

  function drop(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  function followAttributes(old, fresh) {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  let paused = false;
  let asking = false;

  async function refresh() {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(EVERY) });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const state = document.getElementById("state").textContent;
      LIVE.forEach((name) => follow(document.querySelector(name), fresh.querySelector(name)));
      adorn();
      document.body.classList.remove("lost");
      const now = document.getElementById("state").textContent;
      if (now !== state || paused) say(`The proxy is ${now.trim()}.`);
    } catch {
      document.body.classList.add("lost");
      say("The proxy does not answer. This is what it said last.");
    } finally {
      asking = false;
    }
  }

  const pause = make("button", "Pause", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    say(paused ? "Paused." : "Live.");
    if (!paused) refresh();
  });
  pause.id = "pause";

  document.addEventListener("click", (event) => {
    if (event.target.id !== "refresh") return;
    event.preventDefault();
    refresh();
  });

  const due = () => {
    if (!paused && !document.hidden) refresh();
  };
  setInterval(due, EVERY);
  document.addEventListener("visibilitychange", due);

  // --- copying -----------------------------------------------------------------------

  async function copy(source) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      // Over plain http, browsers have this older way only. What it copies, it selects.
      const chosen = getSelection();
      chosen.selectAllChildren(source);
      const done = document.execCommand("copy");
      if (done) chosen.removeAllRanges();
      return done;
    }
  }

  function adorn() {
    if (!pause.isConnected) document.getElementById("asof").append(pause);
    for (const box of document.querySelectorAll(".code")) {
      if (box.querySelector("button")) continue;
      const source = box.querySelector("pre");
      const button = make("button", "Copy", async () => {
        const done = await copy(source);
        button.textContent = done ? "Copied" : "Selected";
        say(done ? "Copied." : "Selected: copy it with your keyboard.");
        setTimeout(() => (button.textContent = "Copy"), 2000);
      });
      button.setAttribute("aria-label", `Copy: ${source.getAttribute("aria-label")}`);
      box.append(button);
    }
  }

  // --- opened by its address ---------------------------------------------------------

  function openTarget() {
    const part = location.hash && document.getElementById(location.hash.slice(1));
    if (part instanceof HTMLDetailsElement) part.open = true;
  }

  addEventListener("hashchange", openTarget);
  openTarget();
  adorn();
})();
