// Pictures to look closer at: a button below the drawing loads Plotly, which lies beside the pages, and draws again.
const style = figure => {
  const colour = getComputedStyle(figure).color;
  return {"font.color": colour, "xaxis.color": colour, "yaxis.color": colour};
};

let plotly = null;
const load = () => plotly ??= new Promise((resolve, reject) => {
  const root = document.documentElement.dataset.content_root || "./";
  const script = Object.assign(document.createElement("script"), {src: `${root}_static/plotly.min.js`});
  Object.assign(script, {onload: () => resolve(window.Plotly), onerror: reject});
  document.head.append(script);
});

const offer = data => {
  const figure = data.parentElement, place = document.createElement("div");
  const button = Object.assign(document.createElement("button"), {type: "button", textContent: "Look closer"});
  button.onclick = async () => {
    button.disabled = true;
    const library = await load(), {data: traces, layout} = JSON.parse(data.textContent);
    figure.querySelector("svg").replaceWith(place);
    await library.newPlot(place, traces, layout, {responsive: true, displaylogo: false});
    await library.relayout(place, style(figure));
    new MutationObserver(() => library.relayout(place, style(figure)))
      .observe(document.documentElement, {attributes: true, attributeFilter: ["data-theme"]});
    button.remove();
  };
  figure.append(button);
};

document.addEventListener("DOMContentLoaded", () =>
  document.querySelectorAll("figure.plot > script.plotly").forEach(offer));
