"""sentence-transformers, the same: first_vector.py MODEL TEXT PRECISION"""
import sys

import torch
from sentence_transformers import SentenceTransformer

settings = {"dtype": torch.bfloat16} if sys.argv[3] == "bf16" else {}
model = SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True, model_kwargs=settings)
print(*model.encode([sys.argv[2]], normalize_embeddings=True, show_progress_bar=False)[0].tolist(), flush=True)
