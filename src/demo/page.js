// A file that the server does not accept is refused before it is sent, with a sentence above the results: gradio itself
// would only show "Error" in a corner. The photo before stays, so a next choice alone takes the sentence away.
const tooLarge = () => document.getElementById("too-large");
const refuse = event => {
  const files = event.dataTransfer?.files ?? event.target.files;
  if (!event.target.closest("#drop") || !files?.length) return;
  const place = tooLarge();
  place.hidden = true;
  if (files[0].size <= Number(place.dataset.most)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const megabytes = (files[0].size / 1e6).toFixed(1);
  place.textContent = `${files[0].name}: the file has ${megabytes} MB, more than the allowed ${place.dataset.allowed} MB.`
    + " The photo before stays.";
  place.hidden = false;
  event.target.dispatchEvent(new DragEvent("dragleave", {bubbles: true}));  // ends the look of the zone below a file
};
document.addEventListener("drop", refuse, true);
document.addEventListener("change", refuse, true);
document.addEventListener("click", event => {
  if (event.target.closest("#examples button")) tooLarge().hidden = true;
}, true);
