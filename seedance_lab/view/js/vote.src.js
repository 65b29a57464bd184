/** Blind votes in a notebook. */
import { front } from "./front.js";
import { renderVote } from "./votes.js";

export default front(() => null, renderVote);
