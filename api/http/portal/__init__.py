"""The portal: what a person sees and changes of their own."""
