"""The graph of the stages, as a table and as a drawing in layers by grandalf (Sugiyama et al. 1981)."""

import networkx as nx
from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout
from grandalf.routing import EdgeViewer, route_with_lines

from src.report.blocks import Chart, More, Paragraph, Section, Table
from src.report.inputs import Inputs
from src.report.rendering import render
from src.report.stages import graph

HEIGHT, LETTER, MARGIN, GAP = 30, 7.4, 12, 32  # pixels: node, letter width, border, between layers


class View:
    """The view of a node that grandalf needs: its size, and its position after the layout."""

    def __init__(self, name: str) -> None:
        self.w, self.h = len(name) * LETTER + 18, HEIGHT
        self.xy = (0.0, 0.0)


class Node(Vertex):  # type: ignore[misc]
    """A vertex with a number as its hash: grandalf keeps vertices in sets, whose order must be the same each time."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name)
        self.number = number
        self.view = View(name)

    def __hash__(self) -> int:
        return self.number


class Arrow(Edge):  # type: ignore[misc]
    """An edge with a number as its hash, for the same reason."""

    def __init__(self, start: Node, end: Node, number: int) -> None:
        self.number = number  # first, because grandalf puts the edge into sets at once
        super().__init__(start, end)
        self.view = EdgeViewer()

    def __hash__(self) -> int:
        return self.number


def section(inputs: Inputs) -> Section:
    """Show the drawing, and the same as a table for readers who cannot see it."""
    stages = graph(inputs.stages)
    items = {name: [stage.name for stage in inputs.stages if stage.group == name] for name in stages}
    rows = [
        [name, len(items[name]), ", ".join(stages.predecessors(name)) or "nothing", stages.nodes[name]["desc"]]
        for name in stages
    ]
    alt = f"A graph of {len(stages)} groups of stages; the table below names the groups that each of them reads from."
    text = (
        f"{len(inputs.stages)} stages; those that do the same for several methods or data sets are one box. An arrow "
        "leads to what reads an output; one that a longer way implies is left out."
    )
    head = ["stage", "runs", "reads from", "the first of them"]
    table = Table("Stages, and the groups that each reads from", head, rows)
    drawing = Chart(draw(stages), alt, "The pipeline, from data to this page", wide=True)
    return Section("Pipeline", "pipeline", [Paragraph(text), drawing, More("The same as a table", [table])])


def draw(stages: nx.DiGraph) -> str:
    """Make an SVG element of the graph; unconnected parts are side by side."""
    nodes: list[tuple[str, float, float, float]] = []  # name, left, top, width
    lines: list[list[tuple[float, float]]] = []
    right = float(MARGIN)
    for part in _parts(stages):
        places, ways = _layout(part)
        left = min(x - width / 2 for _, x, _, width in places)
        top = min(y for _, _, y, _ in places)
        shift_x, shift_y = right - left, MARGIN - top + HEIGHT / 2
        nodes += [(name, x - width / 2 + shift_x, y - HEIGHT / 2 + shift_y, width) for name, x, y, width in places]
        lines += [[(x + shift_x, y + shift_y) for x, y in way] for way in ways]
        right = max(*(x + width for _, x, _, width in nodes), *(x for way in lines for x, _ in way), 0) + 2 * MARGIN
    height = max(y for _, _, y, _ in nodes) + HEIGHT + MARGIN
    paths = [_path(line) for line in lines]
    return render("dag.svg.j2", nodes=nodes, paths=paths, width=round(right), height=round(height), box=HEIGHT)


def _parts(stages: nx.DiGraph) -> list[nx.DiGraph]:
    """Return the connected parts of the graph, the largest first."""
    parts = [stages.subgraph(part) for part in nx.weakly_connected_components(stages)]
    return sorted(parts, key=lambda part: (-len(part), min(part)))


def _layout(part: nx.DiGraph) -> tuple[list[tuple[str, float, float, float]], list[list[tuple[float, float]]]]:
    """Compute name, centre and width of each node, and the corners of each edge, in pixels."""
    order = sorted(part)  # the nodes of a subgraph have no fixed order
    vertices = {name: Node(name, number) for number, name in enumerate(order)}
    edges = [Arrow(vertices[start], vertices[end], number) for number, (start, end) in enumerate(sorted(part.edges))]
    layout = SugiyamaLayout(Graph(list(vertices.values()), edges).C[0])
    layout.route_edge = route_with_lines
    layout.xspace, layout.yspace = GAP / 2, GAP
    layout.init_all(roots=[vertices[name] for name in order if not part.in_degree(name)], optimize=True)
    layout.draw(8)
    places = [(name, *vertex.view.xy, vertex.view.w) for name, vertex in vertices.items()]
    return places, [_way(edge) for edge in edges]


def _way(edge: Arrow) -> list[tuple[float, float]]:
    """Return the corners of an edge: from the middle of its start's lower side to that of its end's upper side."""
    (x1, y1), (x2, y2) = edge.v[0].view.xy, edge.v[1].view.xy
    return [(x1, y1 + HEIGHT / 2), *edge.view._pts[1:-1], (x2, y2 - HEIGHT / 2)]


def _path(points: list[tuple[float, float]]) -> str:
    """Make an SVG path through the points, curved so that it starts and ends vertically."""
    (x, y), *others = points
    path = f"M{x:.1f} {y:.1f}"
    for next_x, next_y in others:
        middle = (y + next_y) / 2
        path += f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}"
        x, y = next_x, next_y
    return path
