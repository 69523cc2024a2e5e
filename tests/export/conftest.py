from tests.prediction.conftest import checkout, made

__all__ = ["checkout", "made"]
