// The console. It asks for everything every two seconds and draws anew only what has changed. All text is put in as text,
// never as markup: names and labels are whatever somebody chose.
"use strict";

const DATA = "/_lab/console";
const EVERY = 2000; // milliseconds
const HEADERS = { "X-Bulwark-Console": "1" };
const SVG = "http://www.w3.org/2000/svg";
const WORDS = {
  // what is shown of a status: colour, sign
  running: ["good", "✓"], available: ["good", "✓"], healthy: ["good", "✓"], success: ["good", "✓"],
  off: ["idle", "○"], unknown: ["idle", "?"],
  unhealthy: ["bad", "✗"], error: ["bad", "✗"],
};
const OF_ACTIONS = { ...WORDS, running: ["warn", "…"] }; // what runs has not ended yet
const drawn = new Map(); // by the id of an element: what it shows
let latest = null;
let tag = null;
let busy = 0;

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; null children are left out, others that are no nodes become text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  return fill(element, attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "click") element.addEventListener("click", value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function badge(status, words = WORDS) {
  const [colour, sign] = words[status] || ["warn", "…"];
  return make("span", { class: `badge ${colour}` }, make("span", { "aria-hidden": "true" }, `${sign} `), status);
}

/** A table that stays one for programs which read it aloud when a narrow screen shows it as blocks. */
function table(caption, columns, rows, empty) {
  if (!rows.length) return make("p", { class: "quiet" }, empty);
  const cells = (row) => row.map((cell, place) =>
    make("td", { role: "cell", "data-label": columns[place] }, typeof cell === "object" ? cell : make("span", {}, cell)));
  return make("table", { role: "table", "aria-label": caption },
    make("thead", { role: "rowgroup" },
      make("tr", { role: "row" }, columns.map((name) => make("th", { role: "columnheader", scope: "col" }, name)))),
    make("tbody", { role: "rowgroup" }, rows.map((row) => make("tr", { role: "row" }, cells(row)))));
}

const list = (items, none = "–") => (items.length ? items.join(", ") : none);
const named = (name) => make("span", { class: "name" }, name);

// --- What is shown ---------------------------------------------------------------------------------------------------

function servers(data) {
  return table("Servers", ["Name", "Status", "Addresses", "Type", "Labels", "Power"], data.servers.map((server) => [
    named(server.name),
    badge(server.status),
    make("div", {}, ...server.private_ips.map((ip) => make("div", { class: "whole" }, ip)),
      server.public_ip ? make("div", { class: "whole" }, server.public_ip) : null,
      server.public_ip ? make("div", { class: "quiet small" }, "public") : null),
    make("div", {}, server.type,
      make("div", { class: "quiet small whole" }, `${server.cores} cores, ${server.memory_gb} GB`),
      make("div", { class: "quiet small whole" }, `${server.architecture}, ${server.location}`)),
    make("div", { class: "tags" }, Object.entries(server.labels).map(([key, value]) =>
      make("span", {}, value === "" ? key : `${key}=${value}`))),
    power(server),
  ]), "No servers yet. ./bulwark up makes them.");
}

function power(server) {
  const on = server.status !== "off";
  const settled = ["running", "off"].includes(server.status) && !server.locked;
  return make("button", {
    type: "button", "data-key": `power-${server.id}`, disabled: !settled,
    "aria-label": `Switch ${server.name} ${on ? "off" : "on"}`,
    click: () => (on ? cutPower(server) : change("POST", `/servers/${server.id}/poweron`)),
  }, on ? "Switch off" : "Switch on");
}

function cutPower(server) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = `Cut the power of ${server.name}?`;
  byId("confirm-words").textContent =
    "It stops at once, without being told, as when somebody pulls the plug. What it had not written to disk is lost.";
  // By the button and not by the dialog's closing, which is told later: it may be open again by then.
  dialog.firstElementChild.onsubmit = (event) => {
    if (event.submitter.value === "yes") change("POST", `/servers/${server.id}/poweroff`);
  };
  dialog.showModal();
}

function networks(data) {
  if (!data.networks.length) return make("p", { class: "quiet" }, "No networks.");
  return data.networks.map((network) => make("div", { class: "block" },
    make("div", { class: "line" }, make("h3", {}, network.name), make("span", { class: "quiet" }, network.ip_range)),
    picture(network),
    make("details", { "data-key": `network-${network.id}` }, make("summary", {}, "As a list"),
      table(`Members of ${network.name}`, ["Address", "Name", "Kind", "Internet"], network.members.map((member) => [
        member.ip, named(member.name), member.kind, member.public ? "directly" : route(network) || "none",
      ]), "No members."))));
}

function route(network) {
  const found = network.routes.find((item) => item.destination === "0.0.0.0/0");
  if (!found) return null;
  const gateway = network.members.find((member) => member.ip === found.gateway);
  return `by ${gateway ? gateway.name : found.gateway}`;
}

/** The internet, the servers that stand between, the network with its router, and the others. */
function picture(network) {
  const width = Math.max(300, byId("networks").clientWidth || 800);
  const columns = Math.max(2, Math.floor(width / 165));
  const [gap, tall, bar, space] = [24, 52, 30, 24];
  const wide = (width - gap) / columns - gap;
  const rows = (members) => Math.ceil(members.length / columns);
  const outer = network.members.filter((member) => member.public);
  const inner = network.members.filter((member) => !member.public);
  const below = (count) => (count ? count * (tall + space) + space : space);
  const middle = bar + below(rows(outer));
  const lines = network.routes.length ? 2 : 1;
  const thick = bar + (lines - 1) * 18;
  const height = middle + thick + below(rows(inner)) - space + 2;
  const parts = [];
  const place = (index, top) => ({
    x: gap + (index % columns) * (wide + gap),
    y: top + space + Math.floor(index / columns) * (tall + space),
  });
  const wire = (x1, y1, x2, y2, routed = false) =>
    parts.push(draw("path", { class: routed ? "wire route" : "wire", d: `M${x1} ${y1}V${y2}H${x2}` }));
  outer.forEach((member, index) => {
    const { x, y } = place(index, bar);
    const routed = network.routes.some((item) => item.gateway === member.ip);
    wire(x - gap / 3, bar, x, y + tall / 2, routed);
    wire(x + wide + gap / 3, middle, x + wide, y + tall / 2, routed);
    parts.push(box(member, x, y, wide, tall));
  });
  inner.forEach((member, index) => {
    const { x, y } = place(index, middle + thick);
    wire(x - gap / 3, middle + thick, x, y + tall / 2);
    parts.push(box(member, x, y, wide, tall));
  });
  const routes = network.routes.map((item) => {
    const gateway = network.members.find((member) => member.ip === item.gateway);
    return `route ${item.destination} by ${gateway ? gateway.name : item.gateway}`;
  });
  const words = `${network.name}: ${outer.length} members with a public address, ${inner.length} without; ` +
    list(routes, "no routes");
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words },
    draw("rect", { class: "bar", width, height: bar, rx: 4 }),
    draw("text", { class: "bar-text strong", x: gap, y: 20 }, "Internet"),
    draw("rect", { class: "bar", y: middle, width, height: thick, rx: 4 }),
    draw("text", { class: "bar-text strong", x: gap, y: middle + 20 },
      clip(`${network.name}, router ${network.gateway}`, width - 2 * gap)),
    lines > 1 ? draw("text", { class: "bar-text", x: gap, y: middle + 38 }, clip(list(routes), width - 2 * gap)) : null,
    ...parts);
}

function box(member, x, y, wide, tall) {
  const on = member.status === "running";
  const sign = (WORDS[member.status] || ["", "…"])[1];
  const status = on && wide < 150 ? sign : `${sign} ${member.status}`; // in full where there is room
  return draw("g", {},
    draw("title", {}, `${member.name}, ${member.kind}, ${member.ip}, ${member.status}`),
    draw("rect", { class: on ? "box" : "box off", x, y, width: wide, height: tall, rx: 4 }),
    draw("text", { class: "strong", x: x + 9, y: y + 21 }, clip(member.name, wide - 16)),
    draw("text", { class: "light", x: x + 9, y: y + 40 }, clip(`${member.ip}  ${status}`, wide - 16, 6.2)));
}

/** Text that fits, by the width of an average letter. */
function clip(text, room, letter = 6.9) {
  const most = Math.floor(room / letter);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function loadBalancers(data) {
  if (!data.load_balancers.length) return make("p", { class: "quiet" }, "No load balancers.");
  return data.load_balancers.map((item) => make("div", { class: "block" },
    make("div", { class: "line" }, make("h3", {}, item.name),
      make("span", { class: "quiet" }, list([item.type, item.location, item.public_ip, item.private_ip].filter(Boolean)))),
    table(`Services of ${item.name}`, ["Service", "To", "Health check", "Certificates"], item.services.map((service) => [
      `${service.protocol} ${service.listen_port}${service.redirect_http ? " (80 redirects)" : ""}`,
      `port ${service.destination_port}`, service.check, list(service.certificates),
    ]), "No services."),
    table(`Targets of ${item.name}`, ["Target", "Chosen by", ...item.services.map((service) => `Port ${service.listen_port}`)],
      item.targets.map((target) => [
        named(target.name), target.by || "by itself", ...target.health.map((port) => badge(port.status)),
      ]), "No targets.")));
}

function zones(data) {
  if (!data.zones.length) return make("p", { class: "quiet" }, "No zones.");
  return data.zones.map((zone) => make("div", { class: "block" },
    make("h3", {}, zone.name),
    table(`Records of ${zone.name}`, ["Record", "Type", "Content", "Edge"], zone.records.map((record) => [
      named(record.name), record.type, record.content, record.proxied ? "proxied" : "DNS only",
    ]), "No records."),
    table(`Settings of ${zone.name}`, ["Setting", "Value"],
      [...Object.entries(zone.settings), ["Headers added for the origin", list(zone.added_headers, "none")]], "")));
}

function volumes(data) {
  return table("Volumes", ["Name", "Status", "Size", "Server", "Format"], data.volumes.map((volume) => [
    named(volume.name), badge(volume.status), `${volume.size_gb} GB, ${volume.location}`, volume.server || "–", volume.format || "–",
  ]), "No volumes.");
}

function firewalls(data) {
  if (!data.firewalls.length) return make("p", { class: "quiet" }, "No firewalls.");
  return data.firewalls.map((firewall) => make("div", { class: "block" },
    make("div", { class: "line" }, make("h3", {}, firewall.name), make("span", { class: "quiet" }, `on ${list(firewall.servers, "no server")}`)),
    table(`Rules of ${firewall.name}`, ["Direction", "What", "Peers", "Why"], firewall.rules.map((rule) => [
      rule.direction, `${rule.protocol}${rule.port ? ` ${rule.port}` : ""}`, list(rule.peers), rule.description || "–",
    ]), "No rules: nothing is let in.")));
}

function certificates(data) {
  return table("Certificates", ["Name", "For", "Valid until", "Used by"], data.certificates.map((item) => [
    named(item.name), list(item.domain_names), item.not_valid_after.slice(0, 10), list(item.used_by, "nothing"),
  ]), "No certificates.");
}

function actions(data) {
  if (!data.actions.length) return make("p", { class: "quiet" }, "Nothing has been done yet.");
  return make("ul", {}, data.actions.map((action) => make("li", { class: "item" },
    make("div", { class: "line" }, named(action.command.replaceAll("_", " ")), badge(action.status, OF_ACTIONS)),
    make("div", { class: "line quiet small" },
      make("span", {}, list(action.resources)), make("time", { datetime: action.started }, clock(action.started))),
    action.status === "running"
      ? make("progress", { max: 100, value: action.progress, "aria-label": `Progress of ${action.command}` }, `${action.progress} %`)
      : null,
    action.error ? make("p", { class: "small" }, action.error) : null)));
}

const clock = (text) => new Date(text).toLocaleTimeString();

function faults(data) {
  return [
    make("ul", {}, data.presets.map((preset) => make("li", { class: "item switch" },
      make("div", {}, make("div", { class: "name", id: `fault-${preset.id}` }, preset.title),
        make("div", { class: "quiet small", id: `words-${preset.id}` }, preset.words)),
      make("button", {
        type: "button", role: "switch", "aria-checked": String(preset.on), "data-key": `fault-${preset.id}`,
        "aria-labelledby": `fault-${preset.id}`, "aria-describedby": `words-${preset.id}`,
        click: () => change(preset.on ? "DELETE" : "PUT", `/faults/${preset.id}`),
      }, preset.on ? "✓ On" : "Off")))),
    make("button", {
      type: "button", class: "all", "data-key": "clear", disabled: !data.faults.length, click: () => change("DELETE", "/faults"),
    }, "Let everything go right again"),
  ];
}

function requests(data) {
  return make("ul", {}, data.requests.map((item) => make("li", { class: "item" }, named(item.service),
    make("div", { class: "quiet small" }, [
      `${item.kept} remembered`, `${item.refused} refused`, `${item.failed} failed`, `${item.lost} answers lost`,
      `${item.struck} struck by faults`,
    ].join(", ")))));
}

function tiles(data) {
  const running = data.servers.filter((server) => server.status === "running").length;
  const ports = data.load_balancers.flatMap((item) => item.targets.flatMap((target) => target.health));
  const healthy = ports.filter((port) => port.status === "healthy").length;
  const under = data.actions.filter((action) => action.status === "running").length;
  return [
    ["servers", `${running} of ${data.servers.length}`, "servers run"],
    ["load-balancers", ports.length ? `${healthy} of ${ports.length}` : "–", "target ports healthy"],
    ["actions", String(under), under === 1 ? "action under way" : "actions under way"],
    ["faults", String(data.faults.length), data.faults.length === 1 ? "fault switched on" : "faults switched on"],
  ].map(([goal, number, words]) => make("li", {}, make("a", { href: `#${goal}-title` }, make("strong", {}, number), words)));
}

// --- Drawing, asking, ordering ---------------------------------------------------------------------------------------

/** Draws one part when what it shows has changed; what had the focus, and what was unfolded, keeps it. */
function part(id, shown, render) {
  const text = JSON.stringify(shown);
  if (drawn.get(id) === text) return;
  drawn.set(id, text);
  const place = byId(id);
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const open = [...place.querySelectorAll("details[open]")].map((item) => item.dataset.key);
  const found = render(latest);
  place.replaceChildren(...(Array.isArray(found) ? found : [found]));
  for (const item of place.querySelectorAll("[data-key]")) {
    if (open.includes(item.dataset.key)) item.open = true;
    if (item.dataset.key === focused) item.focus({ preventScroll: true });
  }
}

function show(data) {
  latest = data;
  byId("main").hidden = false;
  part("tiles", [data.servers, data.load_balancers, data.actions, data.faults], tiles);
  part("servers", data.servers, servers);
  part("networks", [data.networks, byId("networks").clientWidth], networks);
  part("load-balancers", data.load_balancers, loadBalancers);
  part("zones", data.zones, zones);
  part("volumes", data.volumes, volumes);
  part("firewalls", data.firewalls, firewalls);
  part("certificates", data.certificates, certificates);
  part("actions", data.actions, actions);
  part("faults", [data.presets, data.faults], faults);
  part("requests", data.requests, requests);
  const wrong = byId("going-wrong");
  wrong.hidden = !data.faults.length;
  const words = data.faults.map((fault) =>
    `${fault.service}: ${fault.words}${fault.struck === null ? "" : ` (struck ${fault.struck} times)`}`);
  if (wrong.textContent !== `! Going wrong on purpose. ${words.join("; ")}`) {
    wrong.textContent = `! Going wrong on purpose. ${words.join("; ")}`;
  }
}

function say(text) {
  const message = byId("message");
  message.hidden = !text;
  if (message.textContent !== text) message.textContent = text;
}

function connection(text) {
  const place = byId("connection");
  if (place.textContent !== text) place.textContent = text;
}

async function refresh() {
  const headers = tag ? { "If-None-Match": tag } : {};
  let answer;
  try {
    answer = await fetch(DATA, { headers, cache: "no-store" });
  } catch {
    connection("✗ The embedded cloud does not answer; this is how it was");
    return;
  }
  if (answer.status === 401) {
    byId("main").hidden = true;
    drawn.clear();
    tag = null;
    connection("");
    say((location.hash === "#used" ? "That link has been used or is too old. " : "") +
      "Run ./bulwark open console and open the link it prints: it works once, within two minutes.");
    return;
  }
  if (answer.status !== 200 && answer.status !== 304) {
    connection(`✗ The embedded cloud answered ${answer.status}; this is how it was`);
    return;
  }
  connection("✓ Live, every two seconds");
  if (answer.status === 200) {
    tag = answer.headers.get("ETag");
    if (byId("main").hidden) say("");
    show(await answer.json());
  }
}

async function change(method, path) {
  busy += 1;
  try {
    const answer = await fetch(DATA + path, { method, headers: HEADERS });
    const said = answer.ok ? "" : (await answer.json().catch(() => null))?.error?.message;
    say(answer.ok ? "" : `That was refused: ${said || answer.status}`);
  } catch {
    say("The embedded cloud did not answer; nothing is known of what was asked.");
  } finally {
    busy -= 1;
  }
  await refresh();
}

async function go() {
  if (!busy && !document.hidden) await refresh();
  setTimeout(go, EVERY);
}

addEventListener("resize", () => latest && show(latest));
document.addEventListener("visibilitychange", () => document.hidden || refresh());
go();
