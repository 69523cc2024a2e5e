// Enlarge a picture: a click, or Enter on it, shows it in the dialog; Escape, the button or a click beside it closes.
const dialog = document.getElementById("enlarged");
document.addEventListener("click", event => {
  const button = event.target.closest(".enlarge");
  if (button) {
    const figure = button.closest("figure");
    const [image, caption] = [figure.querySelector("img"), figure.querySelector("figcaption")];
    dialog.querySelector("figure").replaceChildren(image.cloneNode(), caption.cloneNode(true));
    dialog.showModal();
  } else if (event.target === dialog) {
    dialog.close();
  }
});
// On a narrow window, long tables begin folded; without this script they are open.
if (window.matchMedia("(max-width: 40rem)").matches) {
  document.querySelectorAll("details.wide").forEach(item => { item.open = false; });
}
