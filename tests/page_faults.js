// What a reader would miss on a page, by kind: called in the browser by test_pages.py.
function pageFaults(theme, desk) {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.mode = theme;
  document.head.append(Object.assign(document.createElement("style"), {textContent: "* { transition: none !important }"}));
  const article = document.querySelector("article") || document.body;
  const all = selector => [...article.querySelectorAll(selector)].filter(seen);
  const seen = element => element.checkVisibility && element.checkVisibility();
  const wide = element => element.scrollWidth > element.clientWidth + 1;
  const name = element => element.textContent.trim().replace(/\s+/g, " ").slice(0, 60);

  // The element that an element scrolls in.
  const box = element => {
    for (let around = element; around !== article; around = around.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(around).overflowX)) return around;
    return null;
  };

  const numbers = colour => (colour.match(/[\d.]+/g) || []).map(Number);
  const over = (front, back) => {
    const alpha = front.length > 3 ? front[3] : 1;
    return [0, 1, 2].map(i => alpha * front[i] + (1 - alpha) * back[i]);
  };
  const background = element => {
    const layers = [];
    for (let around = element; around; around = around.parentElement)
      layers.push(numbers(getComputedStyle(around).backgroundColor));
    const page = theme === "dark" ? [0, 0, 0] : [255, 255, 255];
    return layers.reverse().reduce((back, front) => (front.length ? over(front, back) : back), page);
  };
  const luminance = colour => {
    const [r, g, b] = colour.map(x => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = element => {
    const back = background(element), front = over(numbers(getComputedStyle(element).color), back);
    const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  // Of a long table the first rows stand for all.
  const texts = all("*:not(tr:nth-child(n + 4), tr:nth-child(n + 4) *)").filter(element =>
    !element.closest("svg, math, .headerlink, .copybtn, button.plotly") &&
    [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));

  // The height of letters in a drawing, in pixels of the screen.
  const size = text => {
    const {a, b} = text.getScreenCTM();
    return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b);
  };

  const tables = all("table").filter(table => !table.closest("table table"));
  const sticks = table => {
    const cell = table.querySelector("tr > :first-child");
    return cell && getComputedStyle(cell).position === "sticky";
  };
  return {
    alt: [
      ...all("img").filter(image => !/\w+\W+\w+\W+\w+/.test(image.alt) || /[0-9a-f]{16}/.test(image.alt)).map(image => image.src),
      ...all("figure.plot > svg").filter(svg => !svg.getAttribute("aria-label")).map(name),
    ],
    sideways: root.scrollWidth > root.clientWidth ? [root.scrollWidth] : [],
    code: all("pre").filter(pre => wide(pre) && (desk || !box(pre))).map(name),
    table: tables.filter(table => {
      const around = box(table);
      const cut = around ? wide(around) : table.getBoundingClientRect().right > root.clientWidth;
      return cut && (desk || !around || !sticks(table));
    }).map(name),
    caption: all("caption").filter(caption => caption.getBoundingClientRect().right > root.clientWidth).map(name),
    equation: all("div.math").filter(place => {
      const drawn = place.querySelector("math");
      return drawn && drawn.getBoundingClientRect().left < place.getBoundingClientRect().left - 1;
    }).map(name),
    header: all("thead").filter(head => !head.textContent.trim()).map(head => name(head.parentElement)),
    contrast: texts.filter(element => contrast(element) < 4.5).map(element => `${contrast(element).toFixed(1)} ${name(element)}`),
    letters: all("figure.plot > svg text").filter(text => size(text) < 7.5).map(name),
  };
}
