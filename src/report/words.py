"""The words that a reader may not know: a list at the end of the page, and links to it where a word comes first."""

import re

from markupsafe import Markup, escape

from src.report.blocks import Section, Terms
from src.report.inputs import Inputs

WORDS = {
    "IoU": "The area that two boxes share, divided by the area that they cover together: 0 apart, 1 if they are equal.",
    "precision": "The share of the detections so far, by falling score, that are right.",
    "recall": "The share of the objects that are found, or for proposals, that some box covers.",
    "F1": "The harmonic mean of precision and recall: high only if both are.",
    "score": "A number for how sure a method is of an answer, 0 to 1; R-CNN's alone come from SVMs and may be below 0 "
    "or above 1.",
    "AP": "Average precision of a class: the mean precision over all recalls. 1 if every object comes before any "
    "mistake.",
    "mAP": "The mean of AP over the classes. A box is right from an IoU of 0.5 on.",
    "VOC07": "The rule of Pascal VOC 2007: AP over the 11 recalls 0, 0.1, ..., 1. VOC12 takes every recall.",
    "COCO": "The rule of the COCO challenge: the mean over IoU 0.50, 0.55, ..., 0.95, so it also rates how well boxes "
    "fit.",
    "standard error": "The spread of a figure over test images, if they were drawn again and again.",
    "proposal": "A box that may hold an object of any class; R-CNN, Fast and Faster R-CNN classify proposals.",
    "MABO": "Mean average best overlap: the IoU of the best proposal of each object, averaged per class, then over the "
    "classes.",
    "sliding window": "Boxes on a fixed grid that do not look at the image; a baseline for proposals.",
    "hard negative": "Background that a classifier takes for an object, or nearly so. Mining looks for them.",
    "SVM": "Support vector machine: a linear classifier; R-CNN has one per class.",
    "box regression": "Four numbers that move and resize a box so that it fits the object better.",
    "macro F1": "The balance of precision and recall of each class, averaged over the classes.",
    "calibration error": "How far scores are from shares: 0 if 9 of 10 answers with a score of 0.9 are right.",
    "R-CNN": "Regions with CNN features (Girshick et al. 2014): a network describes each proposal, and SVMs rate it.",
    "Fast R-CNN": "One pass over the whole image; each proposal takes its part of the result, and a network gives its "
    "class and moves its box (Girshick 2015).",
    "Faster R-CNN": "Fast R-CNN with a network, the RPN, that proposes boxes on the same pass (Ren et al. 2015).",
    "SSD": "Single shot detector (Liu et al. 2016): one pass of a network gives all boxes with their classes.",
    "RPN": "Region proposal network (Ren et al. 2015), the first half of Faster R-CNN: it learns to propose boxes.",
    "selective search": "Proposals from merging neighbouring patches of similar colour and texture (Uijlings et al. "
    "2013); it learns nothing.",
    "epoch": "One pass of a training over all its images.",
}
ALSO = {"scores": "score", "hard negatives": "hard negative", "proposals": "proposal", "SVMs": "SVM"}  # plurals
ANCHORS = {word: f"word-{place}" for place, word in enumerate(WORDS, start=1)}
FOUND = re.compile(r"\b(" + "|".join(sorted({*WORDS, *ALSO}, key=len, reverse=True)) + r")\b(?![^<]*>)")
PLACES = re.compile(r"<(p|thead)\b.*?</\1>", re.DOTALL)
NAMES = re.compile(r'<span class="of">.*?</span>')  # of columns, which a phone shows in the place of the heads


def section(inputs: Inputs) -> Section:
    """Show the list; it is the same for all inputs."""
    return Section("Words", "words", [Terms({word: meaning for word, meaning in WORDS.items()})])


def linked(body: str) -> Markup:
    """Link the first use of each word, in the paragraphs and heads of tables of a section, to the list.

    Names of columns that stand in the cells for phones are linked apart, because a phone shows no heads.

    >>> linked("<p>recall and recall</p>").count("<a")
    1
    """
    return Markup(_first(NAMES, _first(PLACES, body)))


def _first(places: re.Pattern[str], body: str) -> str:
    """Link the first use of each word in the places that a pattern finds."""
    seen: set[str] = set()

    def link(match: re.Match[str]) -> str:
        word = ALSO.get(match[0], match[0])
        if word in seen:
            return match[0]
        seen.add(word)
        return f'<a class="word" href="#{ANCHORS[word]}" title="{escape(WORDS[word])}">{match[0]}</a>'

    return places.sub(lambda place: FOUND.sub(link, place[0]), body)
