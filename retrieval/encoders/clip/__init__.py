"""Image-text models of open_clip: the network, its tokenizer, and how one is opened or saved."""
