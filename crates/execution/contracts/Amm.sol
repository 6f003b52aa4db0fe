// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

interface IToken {
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// Constant-product market of the rollup's native coin against one token, fee 0.3 % to the pool.
/// It has no constructor and no liquidity shares: genesis presets its storage, its coins and its tokens.
/// Storage: slot 0 token, slot 1 reserveNative, slot 2 reserveToken.
contract Amm {
    IToken public token;
    uint256 public reserveNative;
    uint256 public reserveToken;

    event Swap(address indexed sender, address indexed to, uint256 nativeIn, uint256 tokenIn, uint256 nativeOut, uint256 tokenOut);

    error TooLittle(uint256 out, uint256 least);
    error PaymentRefused();

    /// What `amountIn` buys from a pool of these reserves.
    function quote(uint256 amountIn, uint256 reserveIn, uint256 reserveOut) public pure returns (uint256) {
        uint256 paid = amountIn * 997;
        return paid * reserveOut / (reserveIn * 1000 + paid);
    }

    /// Sells the native coin sent along.
    function swapNativeForToken(uint256 minOut, address to) external payable returns (uint256 out) {
        out = quote(msg.value, reserveNative, reserveToken);
        if (out < minOut) revert TooLittle(out, minOut);
        reserveNative += msg.value;
        reserveToken -= out;
        emit Swap(msg.sender, to, msg.value, 0, 0, out);
        token.transfer(to, out);
    }

    /// Sells `amountIn` tokens, which the sender has allowed to this contract.
    function swapTokenForNative(uint256 amountIn, uint256 minOut, address to) external returns (uint256 out) {
        out = quote(amountIn, reserveToken, reserveNative);
        if (out < minOut) revert TooLittle(out, minOut);
        reserveToken += amountIn;
        reserveNative -= out;
        emit Swap(msg.sender, to, 0, amountIn, out, 0);
        token.transferFrom(msg.sender, address(this), amountIn);
        (bool paid,) = to.call{value: out}("");
        if (!paid) revert PaymentRefused();
    }
}
