// The panels beside the conversation; on a narrow screen the conversation is one of them.

const WIDE = matchMedia("(min-width: 60rem)");

export class Tabs {
  constructor(list, { onShow }) {
    this.tabs = [...list.querySelectorAll("[role=tab]")];
    this.onShow = onShow;
    this.view = "talk";
    this.panel = "session";
    list.addEventListener("click", ({ target }) => this.tabs.includes(target) && this.show(nameOf(target)));
    list.addEventListener("keydown", (event) => this.keyed(event));
    WIDE.addEventListener("change", () => this.update());
    this.update();
  }

  show(name) {
    this.view = name === "talk" ? "talk" : "panel";
    if (name !== "talk") this.panel = name;
    this.update();
  }

  update() {
    document.body.dataset.view = this.view;
    const selected = !WIDE.matches && this.view === "talk" ? "talk" : this.panel;
    for (const tab of this.tabs) {
      const name = nameOf(tab);
      tab.setAttribute("aria-selected", String(name === selected));
      tab.tabIndex = name === selected ? 0 : -1;
      if (name !== "talk") document.getElementById(`panel-${name}`).hidden = name !== this.panel;
    }
    this.onShow(selected);
  }

  keyed(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const usable = this.tabs.filter((tab) => tab.offsetParent !== null);
    const at = usable.indexOf(document.activeElement);
    const next = Number.isFinite(step) ? (at + step + usable.length) % usable.length : step < 0 ? 0 : usable.length - 1;
    usable[next].focus();
    this.show(nameOf(usable[next]));
  }
}

const nameOf = (tab) => tab.id.slice("tab-".length);
