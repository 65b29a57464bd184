/** The panel's picture field in a notebook. */
import { front } from "./front.js";
import { renderPicture } from "./picture.js";

export default front(() => null, renderPicture);
