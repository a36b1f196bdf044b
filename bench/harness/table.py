"""The table, in Markdown."""


def number(value):
    """Three digits that count."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 10 else f"{value:.2f}"


def _side(outcome, side, line):
    value = outcome.median(side, line.figure)
    return f"{number(value)} {line.unit}" if value is not None else "–"


def _line(outcome, line):
    ours = _side(outcome, "otaru", line)
    spread = outcome.spread(line)
    if spread and spread[0] != spread[1]:
        ours += f" ({number(spread[0])} to {number(spread[1])})"
    beside = [side for side in (line.baseline, *line.beside) if side]
    theirs = "; ".join(f"{side} {_side(outcome, side, line)}" for side in beside) or "–"
    value = outcome.ratio(line)
    ratio = f"{number(value)} ×" if line.baseline and value is not None else "–"
    cpu = "–"
    if line.cpu:
        each = [f"{number(outcome.median(side, line.cpu))}" for side in ("otaru", *beside)]
        cpu = " / ".join(each) + f" {line.cpu_unit}"
    reached = {None: "–", True: "yes", False: "**no**"}[line.is_reached(value)]
    return [line.title, ours, theirs, ratio, line.bound(), reached, cpu]


def render(head, outcomes):
    """The whole page: `head` is a list of sentences."""
    page = ["# Figures", "", *[f"- {sentence}" for sentence in head], ""]
    columns = ["work", "Otaru (least to most)", "baseline", "ratio", "reach [goal]", "reached", "CPU each, same order",
               "fdatasync p50", "others"]
    page += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for outcome in outcomes:
        shares = [f"{100 * share:.0f} %" for share in (min(outcome.others), max(outcome.others))]
        others = shares[0] if shares[0] == shares[1] else f"{shares[0].removesuffix(' %')}–{shares[1]}"
        around = [f"{number(sorted(outcome.fdatasync_us)[len(outcome.fdatasync_us) // 2])} µs", others]
        for line in outcome.row.lines:
            page.append("| " + " | ".join(_line(outcome, line) + around) + " |")
    notes = [f"- {outcome.row.name}: {outcome.note}" for outcome in outcomes if outcome.note]
    busiest = sorted(set().union(*(outcome.busiest for outcome in outcomes)))
    if busiest:
        notes.append(f"- what else ran, most of all: {', '.join(busiest)}")
    return "\n".join(page + ([""] + notes if notes else [])) + "\n"
