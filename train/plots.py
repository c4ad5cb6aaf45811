"""The card's figures, with matplotlib (Debian: python3-matplotlib)."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

DPI = 110


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, dpi=DPI, metadata={"Software": None})  # the same numbers give the same bytes
    plt.close(figure)


def by_length(path, gains):
    """{px: dB} as a line."""
    figure, axes = plt.subplots(figsize=(6, 3.2))
    axes.plot(list(gains), list(gains.values()), "o-")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xlabel="length of the shake, px", ylabel="luma PSNR gain, dB", xticks=list(gains))
    axes.grid(alpha=0.3)
    save(figure, path)


def plane(path, still, lines):
    """PSNR against log-spectrum distance: `still` {name: measures} as crosses, `lines` {name: {number: measures}}."""
    figure, axes = plt.subplots(figsize=(6.6, 4.4))
    for name, m in still.items():
        if name != "sharp":
            axes.plot(m[3], m[0], "kx")
            axes.annotate(name, (m[3], m[0]), xytext=(6, -3), textcoords="offset points", fontsize=8)
    for (name, points), mark in zip(lines.items(), "os^vD"):
        axes.plot([m[3] for m in points.values()], [m[0] for m in points.values()], mark + "-", label=name, markersize=4)
        for n, m in points.items():
            axes.annotate(str(n), (m[3], m[0]), xytext=(3, 4), textcoords="offset points", fontsize=7)
    axes.set(xlabel="log-spectrum distance (perception: lower is better)", ylabel="PSNR, dB (distortion: higher is better)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, path)


def rates(path, lengths, found):
    """Detection rates by shake length: {thing: {way: [rate]}}, one panel a thing."""
    figure, panels = plt.subplots(1, len(found), figsize=(3.2 * len(found), 3), sharey=True, squeeze=False)
    for axes, (thing, ways) in zip(panels[0], found.items()):
        for way, rate in ways.items():
            axes.plot(lengths, rate, "o-", markersize=3, label=way)
        axes.set(title=thing, xlabel="shake, px", ylim=(-0.03, 1.03))
        axes.grid(alpha=0.3)
    panels[0][0].set_ylabel("rate read")
    panels[0][-1].legend(fontsize=7)
    save(figure, path)


def history(path, points):
    """[(iteration, {set: dB})]: shake lengths as thin lines, real pairs as thick ones."""
    figure, axes = plt.subplots(figsize=(6.6, 3.4))
    for name in dict.fromkeys(k for _, v in points for k in v):
        some = [(i, v[name]) for i, v in points if name in v]
        label, width = (f"{name} px", 1) if name.isdigit() else (name, 2.5)
        axes.plot(*zip(*some), label=label, linewidth=width)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xlabel="iteration", ylabel="luma PSNR gain, dB")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, ncol=2)
    save(figure, path)
