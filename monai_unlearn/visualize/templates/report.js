"use strict";
document.documentElement.classList.add("js");
for (const wipe of document.querySelectorAll(".panels")) {
  const range = wipe.querySelector("input[type=range]"), views = wipe.querySelector(".views");
  const show = () => {
    views.style.setProperty("--cut", range.value + "%");
    range.setAttribute("aria-valuetext", "teacher " + range.value + " %, student " + (100 - range.value) + " %");
  };
  const drag = (event) => {
    const box = views.getBoundingClientRect();
    range.value = Math.round(100 * (event.clientX - box.left) / box.width);
    show();
  };
  range.addEventListener("input", show);
  views.addEventListener("pointerdown", (event) => { views.setPointerCapture(event.pointerId); drag(event); });
  views.addEventListener("pointermove", (event) => { if (views.hasPointerCapture(event.pointerId)) drag(event); });
  show();
}
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
