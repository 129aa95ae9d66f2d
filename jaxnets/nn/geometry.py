"""What a convolution in two dimensions is, apart from its numbers."""

from dataclasses import dataclass

Pair = tuple[int, int]
"""One number for the height and one for the width."""

Pairs = tuple[Pair, Pair]
"""(low, high) for the height and for the width."""


@dataclass(frozen=True)
class Geometry:
    """The geometry of a convolution of images; a signal is an image of height one.

    Attributes:
        size: height and width of the input.
        window: height and width of the kernel.
        strides: the step of the window along the two axes.
        pads: what is added (low, high) along the two axes.
        dilation: the distance of neighbouring places of the kernel along the two axes.

    Example:
        >>> Geometry((28, 28), (5, 5), (2, 2), ((2, 2), (2, 2)), (1, 1)).out
        (14, 14)
    """

    size: Pair
    window: Pair
    strides: Pair
    pads: Pairs
    dilation: Pair

    @property
    def out(self) -> Pair:
        """Height and width of the output."""
        return self._out(0), self._out(1)

    def _out(self, axis: int) -> int:
        padded = self.size[axis] + sum(self.pads[axis])
        return (padded - self.extent[axis]) // self.strides[axis] + 1

    @property
    def extent(self) -> Pair:
        """Height and width of what the dilated kernel covers."""
        first, second = ((w - 1) * d + 1 for w, d in zip(self.window, self.dilation, strict=True))
        return first, second

    @property
    def spread(self) -> Pair:
        """Height and width of the output with the strides put between its places."""
        first, second = ((n - 1) * s + 1 for n, s in zip(self.out, self.strides, strict=True))
        return first, second

    @property
    def back(self) -> Pairs:
        """The padding of the spread output whose convolution with the turned kernel is the input's
        gradient; negative where places at the end of the input were never seen.
        """
        low = [e - 1 - p[0] for e, p in zip(self.extent, self.pads, strict=True)]
        first, second = (
            (a, n + e - 1 - s - a)
            for a, n, e, s in zip(low, self.size, self.extent, self.spread, strict=True)
        )
        return first, second

    @property
    def seen(self) -> Pair:
        """Height and width of the spread output with ``back`` around it."""
        return self.size[0] + self.extent[0] - 1, self.size[1] + self.extent[1] - 1

    @property
    def backward(self) -> "Geometry":
        """The convolution with the turned kernel that makes the input's gradient of the output's,
        or, if there are strides, of what `jaxnets.nn.conv_lax.spread` makes of it.

        Example:
            >>> g = Geometry((8, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
            >>> g.backward.size, g.backward.out
            ((10, 10), (8, 8))
        """
        if self.strides == (1, 1):
            return Geometry(self.out, self.window, (1, 1), self.back, self.dilation)
        return Geometry(self.seen, self.window, (1, 1), ((0, 0), (0, 0)), self.dilation)
